package sammm.imagej;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ij.IJ;
import ij.ImageJ;
import ij.ImagePlus;
import ij.Menus;
import ij.gui.PointRoi;
import ij.gui.Roi;
import ij.plugin.frame.RoiManager;

import java.awt.Rectangle;
import java.awt.Robot;
import java.awt.image.BufferedImage;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;

import javax.imageio.ImageIO;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The plugin as a user has it: its jar in the plugins folder of an ImageJ with windows. */
class WindowTest {
    @Test
    void the_installed_plugin_segments_at_points_and_rectangles_and_fills_the_manager(@TempDir Path home) throws Exception {
        Path plugins = Files.createDirectories(home.resolve("plugins"));
        Path jar = Paths.get(System.getProperty("plugin.jar"));
        Files.copy(jar, plugins.resolve(jar.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        System.setProperty("plugins.dir", home.toString());
        ImageJ imagej = new ImageJ(ImageJ.STANDALONE);
        assertTrue(Menus.getCommands().containsKey("Segment at Selection"), "the menu has the command");
        new Settings("", "cpu", "").save();

        ImagePlus picture = IJ.openImage(new File("../../tests/bindings/scene.png").getAbsolutePath());
        picture.show();
        imagej.setLocation(40, 20);
        picture.getWindow().setLocation(40, 160);
        for (int i = 0; i < 4; i++) {
            IJ.run(picture, "In [+]", "");
        }
        RoiManager manager = RoiManager.getRoiManager();
        manager.setLocation(900, 160);
        int before = manager.getCount();

        picture.setRoi(new Roi(2, 43, 81, 72));
        IJ.run(picture, "Segment at Selection", "");
        picture.setRoi(new PointRoi(125, 25));
        IJ.run(picture, "Segment at Selection", "");
        picture.setRoi(new PointRoi(130, 92));
        IJ.run(picture, "Segment at Selection", "");

        assertEquals(before + 3, manager.getCount());
        for (int i = before; i < before + 3; i++) {
            Roi roi = manager.getRoi(i);
            assertTrue(roi.isArea() && roi.getName().startsWith("SAM "), roi.toString());
        }
        assertTrue(manager.getRoi(before + 2).contains(130, 92));
        String screenshot = System.getenv("SAM_MM_SCREENSHOT");
        if (screenshot != null) {
            Thread.sleep(1500);
            BufferedImage shot = new Robot().createScreenCapture(new Rectangle(0, 0, 1280, 800));
            ImageIO.write(shot, "png", new File(screenshot));
        }
        picture.changes = false;
        picture.close();
        imagej.exitWhenQuitting(false);
    }
}
