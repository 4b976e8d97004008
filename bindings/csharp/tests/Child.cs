using System;

namespace SamMm.Tests
{
    /// <summary>What tests run in a process of its own: where the library is found is settled once in each.</summary>
    internal static class Child
    {
        private static SamContext Left;

        public static int Run(string[] arguments)
        {
            switch (arguments[0])
            {
                case "where":
                    try
                    {
                        string file = SamLibrary.LoadedFrom;
                        Console.WriteLine(SamLibrary.Version + "|" + file);
                        return 0;
                    }
                    catch (Exception refused)
                    {
                        Console.WriteLine(refused.GetType().Name + "|" + refused.Message);
                        return 0;
                    }
                case "chosen":
                    SamLibrary.Path = arguments[1];
                    goto case "where";
                case "checkpoint":
                    using (SamContext context = Scene.NewContext())
                    using (SamModel model = context.LoadModel(arguments[1]))
                        Console.WriteLine(model.Info.Name);
                    return 0;
                case "leave":
                    Left = Scene.NewContext(new SamContextOptions { LogHandler = _ => { }, LogLevel = SamLogLevel.Debug });
                    Left.SetMemoryEventHandler(_ => { });
                    Left.SetProgressHandler(_ => true);
                    SamModel loaded = Left.LoadDemoModelAsync().GetAwaiter().GetResult();
                    SamImage picture = Scene.Image(Left);
                    loaded.PredictAsync(picture, Scene.Click()).GetAwaiter().GetResult();
                    // And one that is at work when the program ends.
                    loaded.PredictAsync(Scene.FreshImage(Left, 1), Scene.Click());
                    Console.WriteLine("left");
                    return 0;
                default:
                    return 2;
            }
        }
    }
}
