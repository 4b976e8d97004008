using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;

namespace SamMm.Tests
{
    /// <summary>Marks a method as a test; its name is what it says.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    internal sealed class TestAttribute : Attribute
    {
    }

    /// <summary>What a test found to be otherwise.</summary>
    internal sealed class CheckFailed : Exception
    {
        public CheckFailed(string message) : base(message)
        {
        }
    }

    internal static class Check
    {
        public static void That(bool holds, string what)
        {
            if (!holds) throw new CheckFailed(what);
        }

        public static void Equal<T>(T expected, T actual, string what)
        {
            if (!EqualityComparer<T>.Default.Equals(expected, actual))
                throw new CheckFailed(what + ": expected " + expected + ", found " + actual);
        }

        public static void SameBytes(byte[] expected, byte[] actual, string what)
        {
            Equal(expected.Length, actual.Length, what + ", length");
            for (int i = 0; i < expected.Length; i++)
                if (expected[i] != actual[i])
                    throw new CheckFailed(what + ": byte " + i + " should be " + expected[i] + " and is " + actual[i]);
        }

        public static void Contains(string part, string text)
        {
            if (text == null || text.IndexOf(part, StringComparison.Ordinal) < 0)
                throw new CheckFailed("\"" + part + "\" is not in: " + text);
        }

        public static T Throws<T>(Action action) where T : Exception
        {
            try
            {
                action();
            }
            catch (T expected)
            {
                return expected;
            }
            catch (Exception other)
            {
                throw new CheckFailed("expected " + typeof(T).Name + ", was thrown: " + other);
            }
            throw new CheckFailed("expected " + typeof(T).Name + ", nothing was thrown");
        }
    }

    internal static class Runner
    {
        private static int Main(string[] arguments)
        {
            if (arguments.Length > 0 && arguments[0] == "--child") return Child.Run(arguments.Skip(1).ToArray());
            string filter = arguments.Length > 0 ? arguments[0] : "";
            int passed = 0;
            int failed = 0;
            foreach (MethodInfo test in Tests().Where(test => test.Name.Contains(filter)))
            {
                try
                {
                    test.Invoke(null, null);
                    passed++;
                    Console.WriteLine("ok    " + test.Name);
                }
                catch (TargetInvocationException wrapped)
                {
                    failed++;
                    Console.WriteLine("FAIL  " + test.Name + Environment.NewLine + wrapped.InnerException);
                }
            }
            Scene.Close();
            Console.WriteLine(passed + " passed, " + failed + " failed");
            return failed == 0 && passed > 0 ? 0 : 1;
        }

        private static IEnumerable<MethodInfo> Tests() =>
            typeof(Runner).Assembly.GetTypes()
                .SelectMany(type => type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
                .Where(method => method.GetCustomAttribute<TestAttribute>() != null)
                .OrderBy(method => method.DeclaringType.Name + method.Name, StringComparer.Ordinal);
    }

    /// <summary>What the tests are given by the environment.</summary>
    internal static class Given
    {
        public static string Root => Variable("SAM_MM_ROOT");

        public static string Library => Variable("SAM_MM_LIBRARY");

        public static string DemoCheckpoint => Path.Combine(Root, "models", "sam_demo.safetensors");

        public static string Variable(string name)
        {
            string value = Environment.GetEnvironmentVariable(name);
            if (string.IsNullOrEmpty(value)) throw new CheckFailed("the environment variable " + name + " is not set");
            return value;
        }
    }
}
