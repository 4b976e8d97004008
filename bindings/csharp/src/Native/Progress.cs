using System;
using System.Collections.Generic;

namespace SamMm.Native
{
    /// <summary>
    /// Who wants to know how far which job is. The number of a job is known to its submitter only after the library has begun
    /// with it: what is told in between is kept until then.
    /// </summary>
    internal sealed class JobProgress
    {
        private readonly object gate = new object();
        private readonly Dictionary<ulong, ProgressRelay> followed = new Dictionary<ulong, ProgressRelay>();
        private readonly Dictionary<ulong, List<double>> early = new Dictionary<ulong, List<double>>();
        private int submitters;

        /// <summary>Runs what calls the caller's objects, and tells what they throw.</summary>
        public Action<Action> Guard = CallbackSlot.Quietly;

        /// <summary>How many jobs something is kept of that nobody follows.</summary>
        public int EarlyCount
        {
            get { lock (gate) return early.Count; }
        }

        /// <summary>A job that will be followed is about to be submitted: from now on what nobody follows is kept.</summary>
        public void BeginSubmitting()
        {
            lock (gate) submitters++;
        }

        /// <summary>That job is followed now, or was refused.</summary>
        public void EndSubmitting()
        {
            lock (gate)
            {
                if (--submitters == 0) early.Clear();
            }
        }

        /// <summary>Gives what was told of the job so far, and passes on what will be.</summary>
        public List<double> Follow(ulong id, ProgressRelay relay)
        {
            lock (gate)
            {
                followed[id] = relay;
                if (early.TryGetValue(id, out List<double> told)) early.Remove(id);
                return told;
            }
        }

        /// <summary>The job has ended.</summary>
        public void Forget(ulong id)
        {
            lock (gate)
            {
                followed.Remove(id);
                early.Remove(id);
            }
        }

        public void Tell(SamProgress progress)
        {
            if (progress.Source == SamProgressSource.Job) Tell((ulong)progress.Id, progress.Done);
        }

        public void Tell(ulong id, double done)
        {
            ProgressRelay relay;
            lock (gate)
            {
                if (!followed.TryGetValue(id, out relay) && submitters > 0)
                {
                    if (!early.TryGetValue(id, out List<double> told)) early[id] = told = new List<double>();
                    told.Add(done);
                }
            }
            relay?.Report(done);
        }
    }

    /// <summary>Passes the progress of one job on: rising, and 1 at its end if it succeeds.</summary>
    internal sealed class ProgressRelay
    {
        private readonly JobProgress all;
        private readonly IProgress<double> target;
        private readonly object gate = new object();
        private readonly List<double> waiting = new List<double>();
        private ulong id;
        private bool isFollowed;
        private bool hasEnded;
        private double told = -1;

        public ProgressRelay(JobProgress all, IProgress<double> target)
        {
            this.all = all;
            this.target = target;
        }

        /// <summary>
        /// To be called once the number of the job is known; it may have ended already. What was told of it before goes to the
        /// caller's object with what comes next, and not from here: the order would be lost, since the job goes on meanwhile.
        /// </summary>
        public void Follow(ulong job)
        {
            lock (gate)
            {
                if (isFollowed || hasEnded) return;
                id = job;
                isFollowed = true;
                List<double> early = all.Follow(id, this);
                if (early != null) waiting.AddRange(early);
            }
        }

        public void Report(double done) => Tell(Rising(done));

        /// <summary>The job has ended; it may not have been followed yet.</summary>
        public void End(ulong job, bool succeeded)
        {
            Follow(job);
            List<double> last = Rising(succeeded ? 1 : told);
            lock (gate) hasEnded = true;
            all.Forget(job);
            // What the caller's object throws must not become the end of the job.
            all.Guard(() => Tell(last));
        }

        /// <summary>What is to be told: all that waits and this, without what goes back.</summary>
        private List<double> Rising(double done)
        {
            var rising = new List<double>();
            lock (gate)
            {
                if (hasEnded) return rising;
                waiting.Add(done);
                foreach (double value in waiting)
                {
                    if (!(value > told)) continue;
                    told = value;
                    rising.Add(value);
                }
                waiting.Clear();
            }
            return rising;
        }

        private void Tell(List<double> values)
        {
            foreach (double value in values) target.Report(value);
        }
    }
}
