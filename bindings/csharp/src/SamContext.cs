using System;
using System.Runtime.CompilerServices;
using System.Threading;
using SamMm.Native;

namespace SamMm
{
    /// <summary>
    /// One memory manager with its caches and models. May be used from many threads at once. Models, images and results
    /// made from it stay usable after it is disposed, until they are disposed themselves.
    /// </summary>
    public sealed unsafe partial class SamContext : IDisposable
    {
        private readonly CallbackSlot log = new CallbackSlot();
        private readonly CallbackSlot events = new CallbackSlot();
        private readonly CallbackSlot progress = new CallbackSlot();

        internal readonly ContextHandle Handle;

        /// <summary>
        /// Makes a context. No backend is loaded and no device touched before the first call that needs one.
        /// </summary>
        public SamContext(SamContextOptions options = null)
        {
            SamLibrary.CheckAbi();
            log.Failed = TellFailure;
            events.Failed = TellFailure;
            progress.Failed = TellFailure;
            progress.JobProgress = JobProgress;
            JobProgress.Guard = told => progress.Run(told, (handler, action) => action());
            Handle = Open(options);
        }

        // A method of its own: a runtime may look for the library when it compiles what calls it, and the check above says where.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private ContextHandle Open(SamContextOptions options)
        {
            sam_mm_context* context = null;
            sam_mm_error* error = null;
            using (var memory = new Borrowed())
            {
                sam_mm_options given = (options ?? new SamContextOptions()).ToNative(memory);
                if (options?.LogHandler != null)
                {
                    log.Handler = options.LogHandler;
                    given.log_callback =
                        (void*)System.Runtime.InteropServices.Marshal.GetFunctionPointerForDelegate(CallbackSlot.LogFunction);
                    given.log_user_data = log.UserData;
                }
                int status = NativeMethods.sam_mm_init(&given, &context, &error);
                if (status != NativeMethods.SAM_MM_OK) log.Release();
                Status.Check(status, error);
            }
            var handle = new ContextHandle(context, log, events, progress);
            // From the beginning: inside a handler, where a first job may be submitted, it would be refused.
            ListenToProgress(context);
            return handle;
        }

        /// <summary>
        /// Told what a handler of the log, of events or of progress threw. Handlers run in the middle of native code, so
        /// what they throw goes no further. Called on the thread of the handler.
        /// </summary>
        public event Action<Exception> CallbackFailed;

        private void TellFailure(Exception thrown) => CallbackFailed?.Invoke(thrown);

        /// <summary>
        /// Replaces the handler of the log; null removes it. When this returns, the former handler is not running any more.
        /// Refused from inside a handler.
        /// </summary>
        public void SetLogHandler(Action<SamLogLine> handler, SamLogLevel level = SamLogLevel.Warn)
        {
            using (HandleUse use = Handle.Use())
            {
                var context = (sam_mm_context*)use.Value;
                sam_mm_error* error;
                // Removed first: when the library has said that none runs, the slot may change.
                Status.Check(NativeMethods.sam_mm_log_set(context, null, null, 0, &error), error);
                log.Handler = handler;
                if (handler == null) return;
                int status = NativeMethods.sam_mm_log_set(context, CallbackSlot.LogFunction, log.UserData, (int)level, &error);
                Status.Check(status, error);
            }
        }

        /// <summary>
        /// Replaces the handler of memory events; null removes it. When this returns, the former handler is not running any
        /// more. Refused from inside a handler. <see cref="TryTakeMemoryEvent"/> gives the same events without a handler.
        /// </summary>
        public void SetMemoryEventHandler(Action<SamMemoryEvent> handler)
        {
            using (HandleUse use = Handle.Use())
            {
                var context = (sam_mm_context*)use.Value;
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_memory_events_set(context, null, null, &error), error);
                events.Handler = handler;
                if (handler == null) return;
                int status =
                    NativeMethods.sam_mm_memory_events_set(context, CallbackSlot.EventFunction, events.UserData, &error);
                Status.Check(status, error);
            }
        }

        /// <summary>Which backend and device the context runs on; loads the backend if that has not happened yet.</summary>
        public SamBackendInfo DescribeBackend()
        {
            using (HandleUse use = Handle.Use())
            {
                var info = new sam_mm_backend_info { struct_size = (uint)sizeof(sam_mm_backend_info) };
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_backend_describe((sam_mm_context*)use.Value, &info, &error), error);
                return new SamBackendInfo(info);
            }
        }

        /// <summary>What a cache holds and how well it serves.</summary>
        public SamCacheInfo DescribeCache(SamCache cache)
        {
            using (HandleUse use = Handle.Use())
            {
                var info = new sam_mm_cache_info { struct_size = (uint)sizeof(sam_mm_cache_info) };
                sam_mm_error* error;
                Status.Check(
                    NativeMethods.sam_mm_cache_describe((sam_mm_context*)use.Value, (uint)cache, &info, &error), error);
                return new SamCacheInfo(info);
            }
        }

        /// <summary>Drops everything that a cache holds, and gives the bytes that were given back at once.</summary>
        public long ClearCache(SamCache cache)
        {
            using (HandleUse use = Handle.Use())
            {
                ulong freed;
                sam_mm_error* error;
                Status.Check(
                    NativeMethods.sam_mm_cache_clear((sam_mm_context*)use.Value, (uint)cache, &freed, &error), error);
                return (long)freed;
            }
        }

        /// <summary>
        /// Destroys the context once calls that run on other threads have ended. When this returns on a context that nobody
        /// uses, no handler runs or will run. Inside a handler it is done by another thread.
        /// </summary>
        public void Dispose()
        {
            if (CallbackSlot.IsInside)
                // The library waits for handlers that run, and this one would wait for itself.
                ThreadPool.QueueUserWorkItem(_ => Handle.Dispose());
            else
                Handle.Dispose();
        }
    }

    /// <summary>A cache of the context.</summary>
    public enum SamCache
    {
        /// <summary>What the image encoder made, by image and model: on the device and in host memory together.</summary>
        Embedding = 0,
        /// <summary>What the mask decoder made, by image, model and prompt.</summary>
        Prediction = 1,
        /// <summary>Images processed for display.</summary>
        Image = 2,
        /// <summary>Image embeddings on the device; empty where it has no memory of its own.</summary>
        EmbeddingDevice = 3,
        /// <summary>Image embeddings in host memory.</summary>
        EmbeddingHost = 4,
        /// <summary>Image embeddings on disk.</summary>
        EmbeddingDisk = 5,
    }

    /// <summary>What a cache holds and how well it serves.</summary>
    public sealed class SamCacheInfo
    {
        internal SamCacheInfo(sam_mm_cache_info info)
        {
            Entries = (long)info.entries;
            Bytes = (long)info.bytes;
            MaxEntries = info.max_entries > long.MaxValue ? (long?)null : (long)info.max_entries;
            MaxBytes = (long)Math.Min(info.max_bytes, long.MaxValue);
            Hits = (long)info.hits;
            Misses = (long)info.misses;
        }

        /// <summary>Entries held.</summary>
        public long Entries { get; }

        /// <summary>Bytes held.</summary>
        public long Bytes { get; }

        /// <summary>Most entries held; null where only bytes count.</summary>
        public long? MaxEntries { get; }

        /// <summary>Most bytes held.</summary>
        public long MaxBytes { get; }

        /// <summary>Times that it had what was asked for.</summary>
        public long Hits { get; }

        /// <summary>Times that it had not.</summary>
        public long Misses { get; }
    }

    /// <summary>The backend that a context runs on.</summary>
    public sealed unsafe class SamBackendInfo
    {
        internal SamBackendInfo(sam_mm_backend_info info)
        {
            Name = Utf8.Read(info.name);
            Version = Utf8.Read(info.version);
            Path = Utf8.Read(info.path);
            Device = Utf8.Read(info.device);
            Trail = Utf8.Read(info.trail);
        }

        /// <summary>Short name, such as <c>torch</c>.</summary>
        public string Name { get; }

        /// <summary>Version of the plugin and of what it stands on.</summary>
        public string Version { get; }

        /// <summary>File it was loaded from.</summary>
        public string Path { get; }

        /// <summary>The device it runs on, <c>cpu</c> or <c>cuda:N</c>.</summary>
        public string Device { get; }

        /// <summary>Every file that was tried, a line each, and what came of it.</summary>
        public string Trail { get; }
    }
}
