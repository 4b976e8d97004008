using System;
using System.Runtime.InteropServices;

namespace SamMm.Native
{
    /// <summary>
    /// A place for one callback of the caller. The library knows a function that never goes away and the slot as its
    /// user data, so that neither can be collected while a call may come.
    /// </summary>
    internal sealed unsafe class CallbackSlot
    {
        [ThreadStatic] private static int depth;

        public static readonly NativeMethods.sam_mm_log_set_callback_delegate LogFunction = OnLog;
        public static readonly NativeMethods.sam_mm_memory_events_set_callback_delegate EventFunction = OnEvent;
        public static readonly NativeMethods.sam_mm_progress_set_callback_delegate ProgressFunction = OnProgress;

        private readonly object gate = new object();
        private GCHandle self;
        private volatile Delegate handler;

        /// <summary>Whom the slot of progress tells besides the handler.</summary>
        public volatile JobProgress JobProgress;

        /// <summary>Told what a handler threw: nothing may leave it, since native code is below.</summary>
        public volatile Action<Exception> Failed;

        /// <summary>Whether this thread is inside a callback.</summary>
        public static bool IsInside => depth > 0;

        public Delegate Handler
        {
            get => handler;
            set => handler = value;
        }

        /// <summary>The user data for the library.</summary>
        public void* UserData
        {
            get
            {
                lock (gate)
                {
                    if (!self.IsAllocated) self = GCHandle.Alloc(this);
                    return (void*)GCHandle.ToIntPtr(self);
                }
            }
        }

        /// <summary>To be called when the library can call no more.</summary>
        public void Release()
        {
            lock (gate)
            {
                if (self.IsAllocated) self.Free();
                handler = null;
            }
        }

        /// <summary>Runs a handler so that nothing it throws gets out.</summary>
        public void Run<T>(T argument, Action<Delegate, T> invoke)
        {
            depth++;
            try
            {
                invoke(handler, argument);
            }
            catch (Exception thrown)
            {
                Report(thrown);
            }
            finally
            {
                depth--;
            }
        }

        private void Report(Exception thrown)
        {
            try
            {
                Failed?.Invoke(thrown);
            }
            catch (Exception)
            {
                // Whoever is told about failures fails too: there is nobody left to tell.
            }
        }

        /// <summary>Runs what belongs to a callback without a slot. It must not throw.</summary>
        public static void Inside(Action action)
        {
            depth++;
            try
            {
                action();
            }
            finally
            {
                depth--;
            }
        }

        /// <summary>Runs something of the caller's whose failure concerns nobody.</summary>
        public static void Quietly(Action action)
        {
            try
            {
                action();
            }
            catch (Exception)
            {
                // As said.
            }
        }

        private static CallbackSlot From(void* userData) => (CallbackSlot)GCHandle.FromIntPtr((IntPtr)userData).Target;

        private static void OnLog(void* userData, int level, byte* message)
        {
            From(userData).Run(new SamLogLine((SamLogLevel)level, Utf8.Read(message)),
                (handler, line) => ((Action<SamLogLine>)handler)?.Invoke(line));
        }

        private static void OnEvent(void* userData, sam_mm_memory_event* happened)
        {
            From(userData).Run(new SamMemoryEvent(happened),
                (handler, told) => ((Action<SamMemoryEvent>)handler)?.Invoke(told));
        }

        private static int OnProgress(void* userData, sam_mm_progress* progress)
        {
            CallbackSlot slot = From(userData);
            var told = new SamProgress(progress);
            bool goOn = true;
            slot.Run(told, (handler, now) => slot.JobProgress?.Tell(now));
            slot.Run(told, (handler, now) => goOn = handler == null || ((Func<SamProgress, bool>)handler)(now));
            return goOn ? 0 : 1;
        }
    }
}
