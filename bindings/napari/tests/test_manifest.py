"""napari finds the plugin by its manifest."""

from __future__ import annotations

import napari
from npe2 import PluginManager, PluginManifest

from napari_sam_mm import SegmentWidget


def test_the_manifest_of_the_installed_package_is_valid():
    manifest = PluginManifest.from_distribution("napari-sam-mm")
    manifest.validate_imports()
    assert [widget.display_name for widget in manifest.contributions.widgets] == ["Segment with sam-mm"]
    manager = PluginManager()
    manager.discover()
    assert manager.get_manifest("napari-sam-mm").display_name == "Segment with sam-mm"


def test_napari_opens_the_panel_by_its_name(viewer, qtbot):
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sam-mm", "Segment with sam-mm")
    assert isinstance(widget, SegmentWidget) and dock is not None and isinstance(viewer, napari.Viewer)
    qtbot.waitUntil(lambda: widget.engine.model is not None, timeout=60_000)
    widget.shut_down()
