namespace SamMm
{
    /// <summary>How important a line of the log is.</summary>
    public enum SamLogLevel
    {
        /// <summary>Something failed.</summary>
        Error = 1,
        /// <summary>Something is not as it should be, and work goes on.</summary>
        Warn = 2,
        /// <summary>Rare events worth knowing.</summary>
        Info = 3,
        /// <summary>What happens inside, for finding a fault.</summary>
        Debug = 4,
    }

    /// <summary>A line of the log, without a line end.</summary>
    public struct SamLogLine
    {
        internal SamLogLine(SamLogLevel level, string message)
        {
            Level = level;
            Message = message;
        }

        /// <summary>How important it is.</summary>
        public SamLogLevel Level { get; }

        /// <summary>What it says.</summary>
        public string Message { get; }
    }
}
