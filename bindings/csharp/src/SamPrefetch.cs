using System;
using SamMm.Native;

namespace SamMm
{
    /// <summary>Why prefetching rests. New reasons may come.</summary>
    public enum SamPrefetchPause
    {
        /// <summary>It does not rest.</summary>
        NotPaused = 0,
        /// <summary>Device memory is at the warning threshold.</summary>
        Device = 1,
        /// <summary>Host memory is at its threshold.</summary>
        Host = 2,
        /// <summary>How full memory is could not be had.</summary>
        Unknown = 3,
        /// <summary>Its half of the embedding cache holds images that have not been used yet.</summary>
        Cache = 4,
    }

    /// <summary>What prefetching is at. Counts are since the context was made.</summary>
    public sealed unsafe class SamPrefetchInfo
    {
        internal SamPrefetchInfo(sam_mm_prefetch_info* info)
        {
            Paused = (SamPrefetchPause)info->paused;
            Queued = (long)info->queued;
            QueuedBytes = (long)info->queued_bytes;
            IsRunning = info->running != 0;
            Done = (long)info->done;
            Skipped = (long)info->skipped;
            Cancelled = (long)info->cancelled;
            Reason = Utf8.Read(info->reason);
        }

        /// <summary>Why it rests, though images are waiting.</summary>
        public SamPrefetchPause Paused { get; }

        /// <summary>Images that wait.</summary>
        public long Queued { get; }

        /// <summary>Bytes of their pixels.</summary>
        public long QueuedBytes { get; }

        /// <summary>Whether an image is encoded now.</summary>
        public bool IsRunning { get; }

        /// <summary>Images that are encoded, or were already.</summary>
        public long Done { get; }

        /// <summary>Images that were dropped: memory was too short, or they failed.</summary>
        public long Skipped { get; }

        /// <summary>Images that were taken out, or whose model was freed.</summary>
        public long Cancelled { get; }

        /// <summary>Why it rests, for people; empty when it does not.</summary>
        public string Reason { get; }
    }

    public sealed unsafe partial class SamModel
    {
        /// <summary>
        /// Has an image encoded before somebody clicks on it, giving way to everything else; larger priorities first. The image
        /// may be disposed afterwards. Never waits.
        /// </summary>
        public void Prefetch(SamImage image, int priority = 0)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            using (HandleUse model = Handle.Use())
            using (HandleUse picture = image.Handle.Use())
            {
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_prefetch_add(
                    (sam_mm_model*)model.Value, (sam_mm_image*)picture.Value, priority, &error);
                Status.Check(status, error);
            }
        }

        /// <summary>Takes an image out of the queue, or stops encoding it.</summary>
        public void CancelPrefetch(SamImage image)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            using (HandleUse model = Handle.Use())
            using (HandleUse picture = image.Handle.Use())
            {
                sam_mm_error* error;
                int status =
                    NativeMethods.sam_mm_prefetch_remove((sam_mm_model*)model.Value, (sam_mm_image*)picture.Value, &error);
                Status.Check(status, error);
            }
        }
    }

    public sealed unsafe partial class SamContext
    {
        /// <summary>Takes everything out of the queue of prefetching.</summary>
        public void ClearPrefetch()
        {
            using (HandleUse use = Handle.Use())
            {
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_prefetch_clear((sam_mm_context*)use.Value, &error), error);
            }
        }

        /// <summary>What prefetching is at.</summary>
        public SamPrefetchInfo DescribePrefetch()
        {
            using (HandleUse use = Handle.Use())
            {
                var info = new sam_mm_prefetch_info { struct_size = (uint)sizeof(sam_mm_prefetch_info) };
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_prefetch_describe((sam_mm_context*)use.Value, &info, &error), error);
                return new SamPrefetchInfo(&info);
            }
        }
    }
}
