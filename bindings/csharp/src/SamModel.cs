using System;
using SamMm.Native;

namespace SamMm
{
    /// <summary>Precision of a model's weights.</summary>
    public enum SamPrecision
    {
        /// <summary>32 bits.</summary>
        Fp32 = 0,
        /// <summary>16 bits, IEEE 754.</summary>
        Fp16 = 1,
        /// <summary>16 bits with the range of 32 (bfloat16).</summary>
        Bf16 = 2,
    }

    public sealed unsafe partial class SamContext
    {
        /// <summary>
        /// Loads a checkpoint file: an official <c>.pth</c> or <c>.pt</c> as it is, a fine-tune in the same layout, or
        /// <c>.safetensors</c>. Refused from inside a handler.
        /// </summary>
        public SamModel LoadModel(string path, SamPrecision precision = SamPrecision.Fp32)
        {
            if (path == null) throw new ArgumentNullException(nameof(path), "for the demo model call LoadDemoModel");
            return Load(path, null, precision);
        }

        /// <summary>Loads a model from the bytes of such a file.</summary>
        public SamModel LoadModel(byte[] checkpoint, SamPrecision precision = SamPrecision.Fp32)
        {
            if (checkpoint == null) throw new ArgumentNullException(nameof(checkpoint));
            if (checkpoint.Length == 0) throw new ArgumentException("holds no bytes", nameof(checkpoint));
            return Load(null, checkpoint, precision);
        }

        /// <summary>Loads the demo model that is built in, which knows drawn scenes, not photographs.</summary>
        public SamModel LoadDemoModel(SamPrecision precision = SamPrecision.Fp32) => Load(null, null, precision);

        private SamModel Load(string path, byte[] checkpoint, SamPrecision precision)
        {
            using (HandleUse use = Handle.Use())
            using (var memory = new Borrowed())
            {
                sam_mm_model_options options = ModelOptions(memory, path, checkpoint, precision);
                sam_mm_model* model;
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_model_load((sam_mm_context*)use.Value, &options, &model, &error);
                Status.Check(status, error);
                return new SamModel(this, new ModelHandle(model));
            }
        }

        private static sam_mm_model_options ModelOptions(
            Borrowed memory, string path, byte[] checkpoint, SamPrecision precision)
        {
            sam_mm_model_options options;
            Status.Check(NativeMethods.sam_mm_model_options_init(&options, (uint)sizeof(sam_mm_model_options)), null);
            options.precision = (uint)precision;
            options.path = memory.Text(path);
            options.data = (byte*)memory.Pin(checkpoint);
            options.data_len = checkpoint == null ? 0 : (ulong)checkpoint.LongLength;
            return options;
        }
    }

    /// <summary>A loaded model. May be used from many threads at once; they take turns.</summary>
    public sealed unsafe partial class SamModel : IDisposable
    {
        internal readonly ModelHandle Handle;

        internal SamModel(SamContext context, ModelHandle handle)
        {
            Context = context;
            Handle = handle;
            Info = Describe();
        }

        /// <summary>The context it was loaded with.</summary>
        public SamContext Context { get; }

        /// <summary>What the model is.</summary>
        public SamModelInfo Info { get; }

        private SamModelInfo Describe()
        {
            using (HandleUse use = Handle.Use())
            {
                var info = new sam_mm_model_info { struct_size = (uint)sizeof(sam_mm_model_info) };
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_model_describe((sam_mm_model*)use.Value, &info, &error), error);
                return new SamModelInfo(info);
            }
        }

        /// <summary>
        /// Predicts the masks of the objects pointed at; encodes the image first if this model has not seen it yet. Refused
        /// from inside a handler.
        /// </summary>
        public SamResult Predict(SamImage image, SamRequest request)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            if (request == null) throw new ArgumentNullException(nameof(request));
            using (HandleUse model = Handle.Use())
            using (HandleUse picture = image.Handle.Use())
            using (var memory = new Borrowed())
            {
                sam_mm_predict_request native = request.ToNative(memory);
                sam_mm_result* result;
                sam_mm_error* error;
                int status = NativeMethods.sam_predict(
                    (sam_mm_model*)model.Value, (sam_mm_image*)picture.Value, &native, &result, &error);
                Status.Check(status, error);
                return new SamResult(new ResultHandle(result));
            }
        }

        /// <summary>Predicts the masks of one object.</summary>
        public SamResult Predict(SamImage image, SamPrompt prompt, bool multimask = true) =>
            Predict(image, new SamRequest(prompt) { Multimask = multimask });

        /// <summary>
        /// Runs the image encoder now, so that the first prediction does not have to. Quick when that was done before.
        /// </summary>
        public void Encode(SamImage image)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            using (HandleUse model = Handle.Use())
            using (HandleUse picture = image.Handle.Use())
            {
                sam_mm_error* error;
                int status =
                    NativeMethods.sam_mm_image_encode((sam_mm_image*)picture.Value, (sam_mm_model*)model.Value, &error);
                Status.Check(status, error);
            }
        }

        /// <summary>Frees the model and the embeddings it made; predictions that run end first.</summary>
        public void Dispose() => Handle.Dispose();
    }

    /// <summary>What a loaded model is.</summary>
    public sealed unsafe class SamModelInfo
    {
        internal SamModelInfo(sam_mm_model_info info)
        {
            Precision = (SamPrecision)info.precision;
            Family = Utf8.Read(info.family);
            Variant = Utf8.Read(info.variant);
            Name = Utf8.Read(info.name);
            Device = Utf8.Read(info.device);
            Parameters = (long)info.parameters;
            WeightBytes = (long)info.weight_bytes;
            EmbeddingBytes = (long)info.embedding_bytes;
            InputSize = (int)info.input_size;
            MaskSize = (int)info.mask_size;
            MultimaskCount = (int)info.multimask_count;
        }

        /// <summary>Precision of the weights.</summary>
        public SamPrecision Precision { get; }

        /// <summary>The family, such as <c>sam</c> or <c>mobile_sam</c>.</summary>
        public string Family { get; }

        /// <summary><c>vit_b</c>, <c>vit_l</c>, <c>vit_h</c>, <c>vit_t</c>, or a description.</summary>
        public string Variant { get; }

        /// <summary>What it was loaded from: the path as given, or a word for what has no path.</summary>
        public string Name { get; }

        /// <summary>The device it is on, <c>cpu</c> or <c>cuda:N</c>.</summary>
        public string Device { get; }

        /// <summary>Number of parameters.</summary>
        public long Parameters { get; }

        /// <summary>Bytes of device memory the weights take.</summary>
        public long WeightBytes { get; }

        /// <summary>Bytes of one image embedding.</summary>
        public long EmbeddingBytes { get; }

        /// <summary>Side of the square the image is brought to, in pixels.</summary>
        public int InputSize { get; }

        /// <summary>Side of the square low-resolution logits; a mask input has that number squared of values.</summary>
        public int MaskSize { get; }

        /// <summary>Masks per object with multimask output.</summary>
        public int MultimaskCount { get; }
    }
}
