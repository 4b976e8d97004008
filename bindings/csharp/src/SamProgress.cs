using SamMm.Native;

namespace SamMm
{
    /// <summary>Whose progress it is. New ones may come.</summary>
    public enum SamProgressSource
    {
        /// <summary>Of a call that somebody waits in.</summary>
        Call = 0,
        /// <summary>Of a job: a call that ends with <c>Async</c>.</summary>
        Job = 1,
        /// <summary>Of prefetching; the done part of the queue.</summary>
        Prefetch = 2,
    }

    /// <summary>What is being done. New stages may come.</summary>
    public enum SamStage
    {
        /// <summary>It waits for a thread, or for its turn with the model.</summary>
        Waiting = 0,
        /// <summary>A backend or a model is loaded.</summary>
        Loading = 1,
        /// <summary>The pixels are read.</summary>
        Reading = 2,
        /// <summary>The image encoder runs.</summary>
        Encoding = 3,
        /// <summary>The mask decoder runs.</summary>
        Decoding = 4,
        /// <summary>The image is brought to display size.</summary>
        Processing = 5,
        /// <summary>It has ended.</summary>
        Ended = 6,
    }

    /// <summary>How far something is.</summary>
    public sealed unsafe class SamProgress
    {
        internal SamProgress(sam_mm_progress* progress)
        {
            Source = (SamProgressSource)progress->source;
            Number = (long)progress->number;
            AtMs = (long)progress->at_ms;
            Id = (long)progress->id;
            Done = progress->progress;
            Stage = (SamStage)progress->stage;
            Status = (SamStatus)progress->status;
        }

        /// <summary>Whose it is.</summary>
        public SamProgressSource Source { get; }

        /// <summary>Its number, from 0 in each context.</summary>
        public long Number { get; }

        /// <summary>Milliseconds since the context was made.</summary>
        public long AtMs { get; }

        /// <summary>Number of the job; else 0.</summary>
        public long Id { get; }

        /// <summary>The done part of all, 0 to 1; within a stage an estimate.</summary>
        public double Done { get; }

        /// <summary>What is being done.</summary>
        public SamStage Stage { get; }

        /// <summary>How it ended; until then <see cref="SamStatus.Ok"/>.</summary>
        public SamStatus Status { get; }
    }
}
