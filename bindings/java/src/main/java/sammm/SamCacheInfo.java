package sammm;

import sammm.internal.NativeMethods;

/** What a cache holds and how well it serves. */
public final class SamCacheInfo {
    private final long entries;
    private final long bytes;
    private final Long maxEntries;
    private final long maxBytes;
    private final long hits;
    private final long misses;

    SamCacheInfo(NativeMethods.sam_mm_cache_info from) {
        entries = from.entries;
        bytes = from.bytes;
        maxEntries = from.max_entries == -1 ? null : (Long) from.max_entries;
        maxBytes = from.max_bytes < 0 ? Long.MAX_VALUE : from.max_bytes;
        hits = from.hits;
        misses = from.misses;
    }

    /** Entries held. */
    public long entries() {
        return entries;
    }

    /** Bytes held. */
    public long bytes() {
        return bytes;
    }

    /** Most entries held; null where only bytes count. */
    public Long maxEntries() {
        return maxEntries;
    }

    /** Most bytes held. */
    public long maxBytes() {
        return maxBytes;
    }

    /** Times that it had what was asked for. */
    public long hits() {
        return hits;
    }

    /** Times that it had not. */
    public long misses() {
        return misses;
    }
}
