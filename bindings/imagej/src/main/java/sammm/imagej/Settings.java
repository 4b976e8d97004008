package sammm.imagej;

import ij.Prefs;

import java.util.Objects;

/** What the user chose, kept in ImageJ's preferences. */
final class Settings {
    private static final String KEY = "sam_mm.";

    /** File of the checkpoint; empty for the demo model. */
    final String checkpoint;
    final String device;
    /** File of the backend plugin; empty to search for it. */
    final String backend;

    Settings(String checkpoint, String device, String backend) {
        this.checkpoint = checkpoint.trim();
        this.device = device.trim().isEmpty() ? "auto" : device.trim();
        this.backend = backend.trim();
    }

    static Settings load() {
        return new Settings(
                Prefs.get(KEY + "checkpoint", ""), Prefs.get(KEY + "device", "auto"), Prefs.get(KEY + "backend", ""));
    }

    void save() {
        Prefs.set(KEY + "checkpoint", checkpoint);
        Prefs.set(KEY + "device", device);
        Prefs.set(KEY + "backend", backend);
        Prefs.savePreferences();
    }

    @Override
    public boolean equals(Object other) {
        if (!(other instanceof Settings)) {
            return false;
        }
        Settings settings = (Settings) other;
        return checkpoint.equals(settings.checkpoint) && device.equals(settings.device) && backend.equals(settings.backend);
    }

    @Override
    public int hashCode() {
        return Objects.hash(checkpoint, device, backend);
    }
}
