using System;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace SamMm.Native
{
    /// <summary>Submits a call as a job of the library; its end is told with these options.</summary>
    internal unsafe delegate int JobSubmitter(sam_mm_job_options* options, sam_mm_job** job, sam_mm_error** error);

    /// <summary>Takes what a job has made.</summary>
    internal unsafe delegate T JobTaker<out T>(sam_mm_job* job);

    /// <summary>
    /// A job of the library as a task. The library calls back exactly once for every job it has accepted, also when the
    /// context is destroyed before; until then the job is held by a handle to this object, and afterwards by nobody.
    /// </summary>
    internal abstract unsafe class PendingJob
    {
        private static readonly NativeMethods.sam_mm_job_set_callback_callback_delegate Ended = OnEnded;
        private static readonly IntPtr EndedFunction = Marshal.GetFunctionPointerForDelegate(Ended);

        private static void OnEnded(void* userData, sam_mm_job* job)
        {
            GCHandle handle = GCHandle.FromIntPtr((IntPtr)userData);
            var pending = (PendingJob)handle.Target;
            handle.Free();
            CallbackSlot.Inside(() => pending.Finish(job));
            NativeMethods.sam_mm_job_free(job);
        }

        protected abstract void Finish(sam_mm_job* job);

        /// <summary>Hands a call to the library and gives the key of its job.</summary>
        protected IntPtr Submit(JobSubmitter submit)
        {
            GCHandle handle = GCHandle.Alloc(this);
            sam_mm_job* job = null;
            sam_mm_error* error = null;
            sam_mm_job_options options;
            int status = NativeMethods.sam_mm_job_options_init(&options, (uint)sizeof(sam_mm_job_options));
            if (status == NativeMethods.SAM_MM_OK)
            {
                options.callback = (void*)EndedFunction;
                options.user_data = (void*)GCHandle.ToIntPtr(handle);
                status = submit(&options, &job, &error);
            }
            if (status != NativeMethods.SAM_MM_OK)
            {
                handle.Free();
                throw SamMmException.Take(status, error);
            }
            return (IntPtr)job;
        }

        /// <summary>The number of a job, by which progress calls it. False when its key has been freed.</summary>
        protected static bool NumberOf(sam_mm_job* job, out ulong number)
        {
            var info = new sam_mm_job_info { struct_size = (uint)sizeof(sam_mm_job_info) };
            bool isThere = NativeMethods.sam_mm_job_describe(job, &info, null) == NativeMethods.SAM_MM_OK;
            number = info.id;
            return isThere;
        }
    }

    /// <summary>A job of the library as a task with a result.</summary>
    internal sealed unsafe class PendingJob<T> : PendingJob
    {
        // Continuations run elsewhere: the thread that completes the task is in a callback, where little is allowed.
        private readonly TaskCompletionSource<T> task =
            new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);

        // Held as long as the job: a context that is collected cancels its jobs.
        private readonly SamContext context;
        private readonly JobTaker<T> take;
        private readonly CancellationToken cancellation;
        private readonly ProgressRelay progress;

        private PendingJob(
            SamContext context, JobTaker<T> take, CancellationToken cancellation, ProgressRelay progress)
        {
            this.context = context;
            this.take = take;
            this.cancellation = cancellation;
            this.progress = progress;
        }

        /// <summary>Starts a job. What the library refuses at once is thrown by this method, not by the task.</summary>
        public static Task<T> Start(SamContext context, JobSubmitter submit, JobTaker<T> take,
            CancellationToken cancellation, IProgress<double> progress)
        {
            if (cancellation.IsCancellationRequested) return Task.FromCanceled<T>(cancellation);
            ProgressRelay relay = progress == null ? null : new ProgressRelay(context.JobProgress, progress);
            var pending = new PendingJob<T>(context, take, cancellation, relay);
            IntPtr job = relay == null ? pending.Submit(submit) : pending.SubmitAndFollow(submit);
            if (cancellation.CanBeCanceled)
            {
                // A key that has been freed meanwhile is refused by the library, and nothing happens.
                CancellationTokenRegistration registration =
                    cancellation.Register(() => NativeMethods.sam_mm_job_cancel((sam_mm_job*)job, null));
                pending.task.Task.ContinueWith(_ => registration.Dispose(), CancellationToken.None,
                    TaskContinuationOptions.None, TaskScheduler.Default);
            }
            return pending.task.Task;
        }

        private IntPtr SubmitAndFollow(JobSubmitter submit)
        {
            context.JobProgress.BeginSubmitting();
            try
            {
                IntPtr job = Submit(submit);
                if (NumberOf((sam_mm_job*)job, out ulong number)) progress.Follow(number);
                return job;
            }
            finally
            {
                context.JobProgress.EndSubmitting();
            }
        }

        protected override void Finish(sam_mm_job* job)
        {
            try
            {
                T made = take(job);
                EndProgress(job, true);
                task.TrySetResult(made);
            }
            catch (SamMmException cancelled) when (cancelled.Code == SamStatus.Cancelled)
            {
                EndProgress(job, false);
                task.TrySetCanceled(cancellation);
            }
            catch (Exception failure)
            {
                EndProgress(job, false);
                task.TrySetException(failure);
            }
            GC.KeepAlive(context);
        }

        private void EndProgress(sam_mm_job* job, bool succeeded)
        {
            if (!NumberOf(job, out ulong number)) return;
            if (progress != null) progress.End(number, succeeded);
            else context.JobProgress.Forget(number);
        }
    }
}
