using System;
using System.Threading;
using System.Threading.Tasks;
using SamMm.Native;

namespace SamMm
{
    public sealed unsafe partial class SamContext
    {
        internal readonly JobProgress JobProgress = new JobProgress();

        /// <summary>
        /// Loads a checkpoint file on a thread of the library. Cancelling the token cancels the task as soon as the work can
        /// stop, and nothing is kept. Wrong arguments throw at once. Allowed inside a handler.
        /// </summary>
        public Task<SamModel> LoadModelAsync(string path, SamPrecision precision = SamPrecision.Fp32,
            CancellationToken cancellation = default(CancellationToken), IProgress<double> progress = null)
        {
            if (path == null) throw new ArgumentNullException(nameof(path), "for the demo model call LoadDemoModelAsync");
            return LoadAsync(path, precision, cancellation, progress);
        }

        /// <summary>Loads the demo model on a thread of the library.</summary>
        public Task<SamModel> LoadDemoModelAsync(SamPrecision precision = SamPrecision.Fp32,
            CancellationToken cancellation = default(CancellationToken), IProgress<double> progress = null) =>
            LoadAsync(null, precision, cancellation, progress);

        private Task<SamModel> LoadAsync(
            string path, SamPrecision precision, CancellationToken cancellation, IProgress<double> progress)
        {
            using (HandleUse use = Handle.Use())
            using (var memory = new Borrowed())
            {
                var options = (sam_mm_model_options*)memory.Allocate(sizeof(sam_mm_model_options));
                *options = ModelOptions(memory, path, null, precision);
                var context = (sam_mm_context*)use.Value;
                return PendingJob<SamModel>.Start(this,
                    (job, place, error) => NativeMethods.sam_mm_job_submit_model_load(context, options, job, place, error),
                    ended =>
                    {
                        sam_mm_model* model;
                        sam_mm_error* error;
                        Status.Check(NativeMethods.sam_mm_job_take_model(ended, &model, &error), error);
                        return new SamModel(this, new ModelHandle(model));
                    }, cancellation, progress);
            }
        }

        /// <summary>
        /// Replaces the handler of the progress of everything; null removes it. It answers whether to go on: false cancels what
        /// the progress is about. When this returns, the former handler is not running any more. Refused from
        /// inside a handler.
        /// </summary>
        public void SetProgressHandler(Func<SamProgress, bool> handler)
        {
            using (HandleUse use = Handle.Use())
            {
                var context = (sam_mm_context*)use.Value;
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_progress_set(context, null, null, &error), error);
                progress.Handler = handler;
                ListenToProgress(context);
            }
        }

        private void ListenToProgress(sam_mm_context* context)
        {
            sam_mm_error* error;
            int status =
                NativeMethods.sam_mm_progress_set(context, CallbackSlot.ProgressFunction, progress.UserData, &error);
            Status.Check(status, error);
        }
    }

    public sealed unsafe partial class SamModel
    {
        /// <summary>
        /// Predicts on a thread of the library. The request is copied before this returns; model and image may be disposed
        /// afterwards. Cancelling the token cancels the task as soon as the work can stop. Wrong arguments throw at once.
        /// Allowed inside a handler.
        /// </summary>
        public Task<SamResult> PredictAsync(SamImage image, SamRequest request,
            CancellationToken cancellation = default(CancellationToken), IProgress<double> progress = null)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            if (request == null) throw new ArgumentNullException(nameof(request));
            using (HandleUse model = Handle.Use())
            using (HandleUse picture = image.Handle.Use())
            using (var memory = new Borrowed())
            {
                var native = (sam_mm_predict_request*)memory.Allocate(sizeof(sam_mm_predict_request));
                *native = request.ToNative(memory);
                var modelKey = (sam_mm_model*)model.Value;
                var imageKey = (sam_mm_image*)picture.Value;
                return PendingJob<SamResult>.Start(Context,
                    (job, place, error) =>
                        NativeMethods.sam_mm_job_submit_predict(modelKey, imageKey, native, job, place, error),
                    ended =>
                    {
                        sam_mm_result* result;
                        sam_mm_error* error;
                        Status.Check(NativeMethods.sam_mm_job_take_result(ended, &result, &error), error);
                        return new SamResult(new ResultHandle(result));
                    }, cancellation, progress);
            }
        }

        /// <summary>Predicts the masks of one object on a thread of the library.</summary>
        public Task<SamResult> PredictAsync(SamImage image, SamPrompt prompt,
            CancellationToken cancellation = default(CancellationToken), IProgress<double> progress = null) =>
            PredictAsync(image, new SamRequest(prompt), cancellation, progress);

        /// <summary>Runs the image encoder on a thread of the library.</summary>
        public Task EncodeAsync(SamImage image, CancellationToken cancellation = default(CancellationToken),
            IProgress<double> progress = null)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            using (HandleUse model = Handle.Use())
            using (HandleUse picture = image.Handle.Use())
            {
                var modelKey = (sam_mm_model*)model.Value;
                var imageKey = (sam_mm_image*)picture.Value;
                return PendingJob<bool>.Start(Context,
                    (job, place, error) => NativeMethods.sam_mm_job_submit_encode(modelKey, imageKey, job, place, error),
                    ended =>
                    {
                        sam_mm_error* error;
                        Status.Check(NativeMethods.sam_mm_job_check(ended, &error), error);
                        return true;
                    }, cancellation, progress);
            }
        }
    }

    public sealed unsafe partial class SamImage
    {
        /// <summary>Brings the image to display size on a thread of the library.</summary>
        public Task<SamDisplay> ProcessAsync(SamDisplayOptions options = null,
            CancellationToken cancellation = default(CancellationToken), IProgress<double> progress = null)
        {
            using (HandleUse use = Handle.Use())
            using (var memory = new Borrowed())
            {
                var given = (sam_mm_display_options*)memory.Allocate(sizeof(sam_mm_display_options));
                *given = (options ?? new SamDisplayOptions()).ToNative();
                var key = (sam_mm_image*)use.Value;
                return PendingJob<SamDisplay>.Start(Context,
                    (job, place, error) => NativeMethods.sam_mm_job_submit_process(key, given, job, place, error),
                    ended =>
                    {
                        sam_mm_display* display;
                        sam_mm_error* error;
                        Status.Check(NativeMethods.sam_mm_job_take_display(ended, &display, &error), error);
                        return new SamDisplay(new DisplayHandle(display));
                    }, cancellation, progress);
            }
        }
    }
}
