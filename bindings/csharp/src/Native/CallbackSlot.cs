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

        private readonly object gate = new object();
        private GCHandle self;
        private volatile Delegate handler;

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
                Delegate current = handler;
                if (current != null) invoke(current, argument);
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

        public static CallbackSlot From(void* userData) => (CallbackSlot)GCHandle.FromIntPtr((IntPtr)userData).Target;

        private static void OnLog(void* userData, int level, byte* message)
        {
            From(userData).Run(new SamLogLine((SamLogLevel)level, Utf8.Read(message)),
                (handler, line) => ((Action<SamLogLine>)handler)(line));
        }

        private static void OnEvent(void* userData, sam_mm_memory_event* happened)
        {
            From(userData).Run(new SamMemoryEvent(happened),
                (handler, told) => ((Action<SamMemoryEvent>)handler)(told));
        }
    }
}
