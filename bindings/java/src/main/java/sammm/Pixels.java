package sammm;

import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.awt.image.ComponentSampleModel;
import java.awt.image.DataBufferByte;
import java.awt.image.DataBufferInt;
import java.awt.image.Raster;
import java.awt.image.SinglePixelPackedSampleModel;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;

/** The pixels of a picture in a form that the library reads. */
final class Pixels {
    final ByteBuffer buffer;
    final SamPixelFormat format;
    /** Bytes from one row to the next. */
    final int rowStride;

    private Pixels(ByteBuffer buffer, SamPixelFormat format, int rowStride) {
        this.buffer = buffer;
        this.format = format;
        this.rowStride = rowStride;
    }

    static Pixels of(BufferedImage picture) {
        switch (picture.getType()) {
            case BufferedImage.TYPE_BYTE_GRAY:
                return bytes(picture, SamPixelFormat.GRAY8, 1);
            case BufferedImage.TYPE_3BYTE_BGR:
                return bytes(picture, SamPixelFormat.BGR8, 3);
            case BufferedImage.TYPE_INT_RGB:
            case BufferedImage.TYPE_INT_ARGB:
                return ints(picture);
            default:
                return ints(redrawn(picture));
        }
    }

    /** The array behind the picture, from its first pixel on: it may be a part of a larger one. */
    private static Pixels bytes(BufferedImage picture, SamPixelFormat format, int pixelBytes) {
        Raster raster = picture.getRaster();
        ComponentSampleModel model = (ComponentSampleModel) raster.getSampleModel();
        DataBufferByte data = (DataBufferByte) raster.getDataBuffer();
        int stride = model.getScanlineStride();
        int start = data.getOffset()
                - raster.getSampleModelTranslateY() * stride
                - raster.getSampleModelTranslateX() * pixelBytes;
        int length = stride * (picture.getHeight() - 1) + picture.getWidth() * pixelBytes;
        return new Pixels(ByteBuffer.wrap(data.getData(), start, length), format, stride);
    }

    private static Pixels ints(BufferedImage picture) {
        Raster raster = picture.getRaster();
        SinglePixelPackedSampleModel model = (SinglePixelPackedSampleModel) raster.getSampleModel();
        DataBufferInt data = (DataBufferInt) raster.getDataBuffer();
        int stride = model.getScanlineStride();
        int start = data.getOffset() - raster.getSampleModelTranslateY() * stride - raster.getSampleModelTranslateX();
        int width = picture.getWidth();
        int height = picture.getHeight();
        // 0xAARRGGBB, least significant byte first, is blue, green, red, alpha.
        ByteBuffer bytes = ByteBuffer.allocateDirect(Math.multiplyExact(Math.multiplyExact(width, height), 4));
        IntBuffer target = bytes.order(ByteOrder.LITTLE_ENDIAN).asIntBuffer();
        for (int y = 0; y < height; y++) {
            target.put(data.getData(), start + y * stride, width);
        }
        return new Pixels(bytes, SamPixelFormat.BGRA8, 4 * width);
    }

    /** Other types: indexed colours, 16 bits, alpha multiplied in. */
    private static BufferedImage redrawn(BufferedImage picture) {
        BufferedImage copy = new BufferedImage(picture.getWidth(), picture.getHeight(), BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = copy.createGraphics();
        graphics.drawImage(picture, 0, 0, null);
        graphics.dispose();
        return copy;
    }
}
