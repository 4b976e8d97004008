using System;
using System.Collections.Concurrent;

namespace SamMm.Native
{
    /// <summary>Who wants to know how far which job is.</summary>
    internal sealed class JobProgress
    {
        private readonly ConcurrentDictionary<ulong, ProgressRelay> followed = new ConcurrentDictionary<ulong, ProgressRelay>();

        public void Follow(ulong id, ProgressRelay relay) => followed[id] = relay;

        public void Forget(ulong id) => followed.TryRemove(id, out _);

        public void Tell(SamProgress progress)
        {
            if (progress.Source == SamProgressSource.Job && followed.TryGetValue((ulong)progress.Id, out ProgressRelay relay))
                relay.Report(progress.Done);
        }
    }

    /// <summary>Passes the progress of one job on: rising, and 1 at its end if it succeeds.</summary>
    internal sealed unsafe class ProgressRelay
    {
        private readonly JobProgress all;
        private readonly IProgress<double> target;
        private readonly object gate = new object();
        private ulong id;
        private bool isFollowed;
        private bool hasEnded;
        private double told = -1;

        public ProgressRelay(JobProgress all, IProgress<double> target)
        {
            this.all = all;
            this.target = target;
        }

        /// <summary>To be called once the job has a key; it may have ended already.</summary>
        public void Follow(sam_mm_job* job)
        {
            var info = new sam_mm_job_info { struct_size = (uint)sizeof(sam_mm_job_info) };
            if (NativeMethods.sam_mm_job_describe(job, &info, null) != NativeMethods.SAM_MM_OK) return;
            lock (gate)
            {
                if (hasEnded) return;
                id = info.id;
                isFollowed = true;
                all.Follow(id, this);
            }
        }

        public void Report(double done)
        {
            lock (gate)
            {
                if (hasEnded || !(done > told)) return;
                told = done;
            }
            target.Report(done);
        }

        public void End(bool succeeded)
        {
            bool isLast;
            lock (gate)
            {
                hasEnded = true;
                if (isFollowed) all.Forget(id);
                isLast = succeeded && told < 1;
                told = 1;
            }
            // What the caller's object throws must not become the end of the job.
            if (isLast) CallbackSlot.Quietly(() => target.Report(1));
        }
    }
}
