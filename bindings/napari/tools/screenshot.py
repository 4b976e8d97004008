"""The picture of docs/napari.md: `python screenshot.py OUT.png`, in an environment of run_tests.sh."""

import sys
import time
from pathlib import Path

import napari
from PIL import Image
from qtpy.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python/tests"))

import drawn  # noqa: E402


def wait(condition) -> None:
    for _ in range(12_000):
        QApplication.processEvents()
        if condition():
            return
        time.sleep(0.005)
    raise SystemExit("it did not happen")


def main(out: str) -> None:
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1200, 760)
    viewer.add_image(drawn.scene(), name="scene", rgb=True)
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam-mm", "Segment with sam-mm")
    wait(lambda: panel.engine.model is not None)
    panel.start()
    session = panel.session
    session.clicks.add([[150, 120]])
    wait(lambda: (session.labels.data == 1).any())
    panel.keep()
    session.boxes.add_rectangles([[60, 260], [160, 340]])
    session.clicks.add([[110, 300]])
    wait(lambda: (session.labels.data == 2).any() and not panel.engine.busy)
    wait(lambda: not panel.engine.encoding_ahead)
    viewer.reset_view()
    panel.show_memory()
    for _ in range(40):
        QApplication.processEvents()
        time.sleep(0.01)
    shown = viewer.screenshot(canvas_only=False, flash=False)
    Image.fromarray(shown[..., :3]).quantize(160).save(out, optimize=True)
    print(out, Path(out).stat().st_size)
    panel.shut_down()
    viewer.close()


if __name__ == "__main__":
    main(sys.argv[1])
