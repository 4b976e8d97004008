using System.Text;
using SamMm.Native;

namespace SamMm
{
    public sealed unsafe partial class SamContext
    {
        /// <summary>What is known about memory. Needs no backend and loads none.</summary>
        public SamMemoryInfo GetMemoryInfo()
        {
            using (HandleUse use = Handle.Use())
            {
                var info = new sam_mm_memory_info { struct_size = (uint)sizeof(sam_mm_memory_info) };
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mem_info((sam_mm_context*)use.Value, &info, &error), error);
                return new SamMemoryInfo(&info);
            }
        }

        /// <summary>Holds device memory against the thresholds.</summary>
        public SamMemoryStatus CheckMemory()
        {
            using (HandleUse use = Handle.Use())
            {
                var status = new sam_mm_memory_status { struct_size = (uint)sizeof(sam_mm_memory_status) };
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_memory_check((sam_mm_context*)use.Value, &status, &error), error);
                return new SamMemoryStatus(&status);
            }
        }

        /// <summary>Whether a cache may keep something more. A figure that is not known counts as no.</summary>
        public bool ShouldCache(SamMemoryTier tier)
        {
            using (HandleUse use = Handle.Use())
            {
                uint may;
                sam_mm_error* error;
                Status.Check(
                    NativeMethods.sam_mm_memory_should_cache((sam_mm_context*)use.Value, (uint)tier, &may, &error), error);
                return may != 0;
            }
        }

        /// <summary>
        /// Gives memory back: what is short, or with <paramref name="force"/> all that can be had. What is dropped is made
        /// again when it is needed.
        /// </summary>
        public SamOptimizeReport Optimize(bool force = false)
        {
            using (HandleUse use = Handle.Use())
            {
                var report = new sam_mm_optimize_report { struct_size = (uint)sizeof(sam_mm_optimize_report) };
                sam_mm_error* error;
                Status.Check(
                    NativeMethods.sam_optimize((sam_mm_context*)use.Value, force ? 1 : 0, &report, &error), error);
                return new SamOptimizeReport(report);
            }
        }

        /// <summary>What was counted since the context was made.</summary>
        public SamMemoryReport GetMemoryReport()
        {
            using (HandleUse use = Handle.Use())
            {
                var report = new sam_mm_memory_report { struct_size = (uint)sizeof(sam_mm_memory_report) };
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_memory_describe((sam_mm_context*)use.Value, &report, &error), error);
                return new SamMemoryReport(report);
            }
        }

        /// <summary>Everything that is known about memory, as JSON.</summary>
        public string GetMemoryReportJson()
        {
            using (HandleUse use = Handle.Use())
            {
                var context = (sam_mm_context*)use.Value;
                var buffer = new byte[0];
                while (true)
                {
                    ulong required;
                    sam_mm_error* error;
                    fixed (byte* place = buffer)
                    {
                        Status.Check(NativeMethods.sam_mm_memory_report_json(
                            context, place, (ulong)buffer.Length, &required, &error), error);
                    }
                    if (required <= (ulong)buffer.Length)
                        return Encoding.UTF8.GetString(buffer, 0, checked((int)required) - 1);
                    buffer = new byte[required];
                }
            }
        }

        /// <summary>Takes the oldest memory event that nobody has taken yet; the last 256 are kept.</summary>
        public bool TryTakeMemoryEvent(out SamMemoryEvent happened)
        {
            using (HandleUse use = Handle.Use())
            {
                var place = new sam_mm_memory_event { struct_size = (uint)sizeof(sam_mm_memory_event) };
                uint has;
                sam_mm_error* error;
                Status.Check(
                    NativeMethods.sam_mm_memory_event_poll((sam_mm_context*)use.Value, &place, &has, &error), error);
                happened = has != 0 ? new SamMemoryEvent(&place) : null;
                return has != 0;
            }
        }
    }
}
