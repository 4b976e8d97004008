using System;
using System.Collections.Generic;
using SamMm.Native;

namespace SamMm
{
    /// <summary>
    /// A point in pixels of the original image: (0, 0) is the outer corner of the first pixel, so the centre of a pixel is
    /// at .5.
    /// </summary>
    public struct SamPoint : IEquatable<SamPoint>
    {
        /// <summary>Makes a point.</summary>
        public SamPoint(float x, float y)
        {
            X = x;
            Y = y;
        }

        /// <summary>From the left.</summary>
        public float X { get; }

        /// <summary>From the top.</summary>
        public float Y { get; }

        /// <inheritdoc/>
        public bool Equals(SamPoint other) => X.Equals(other.X) && Y.Equals(other.Y);

        /// <inheritdoc/>
        public override bool Equals(object other) => other is SamPoint point && Equals(point);

        /// <inheritdoc/>
        public override int GetHashCode() => unchecked(31 * X.GetHashCode() + Y.GetHashCode());

        /// <inheritdoc/>
        public override string ToString() => FormattableString.Invariant($"({X}, {Y})");
    }

    /// <summary>A box: its right and bottom edge are one past the last pixel.</summary>
    public struct SamBox : IEquatable<SamBox>
    {
        /// <summary>Makes a box.</summary>
        public SamBox(float x0, float y0, float x1, float y1)
        {
            X0 = x0;
            Y0 = y0;
            X1 = x1;
            Y1 = y1;
        }

        /// <summary>Left edge.</summary>
        public float X0 { get; }

        /// <summary>Top edge.</summary>
        public float Y0 { get; }

        /// <summary>Right edge.</summary>
        public float X1 { get; }

        /// <summary>Bottom edge.</summary>
        public float Y1 { get; }

        /// <inheritdoc/>
        public bool Equals(SamBox other) =>
            X0.Equals(other.X0) && Y0.Equals(other.Y0) && X1.Equals(other.X1) && Y1.Equals(other.Y1);

        /// <inheritdoc/>
        public override bool Equals(object other) => other is SamBox box && Equals(box);

        /// <inheritdoc/>
        public override int GetHashCode() =>
            unchecked(((X0.GetHashCode() * 31 + Y0.GetHashCode()) * 31 + X1.GetHashCode()) * 31 + Y1.GetHashCode());

        /// <inheritdoc/>
        public override string ToString() => FormattableString.Invariant($"({X0}, {Y0}, {X1}, {Y1})");
    }

    /// <summary>What one object is pointed at with: at least one of points, box and mask input.</summary>
    public sealed class SamPrompt
    {
        private readonly List<SamPoint> points = new List<SamPoint>();
        private readonly List<bool> inObject = new List<bool>();

        /// <summary>Points in the object and outside of it.</summary>
        public IReadOnlyList<SamPoint> Points => points;

        /// <summary>For each point, whether it is in the object.</summary>
        public IReadOnlyList<bool> PointsInObject => inObject;

        /// <summary>A box around the object; null (default) for none.</summary>
        public SamBox? Box { get; set; }

        /// <summary>
        /// Logits of an earlier result of the same model (<see cref="SamMask.GetLogits"/>); null (default) for none.
        /// </summary>
        public float[] MaskInput { get; set; }

        /// <summary>Adds a point in the object.</summary>
        public SamPrompt Add(float x, float y) => Add(x, y, true);

        /// <summary>Adds a point in the object or outside of it.</summary>
        public SamPrompt Add(float x, float y, bool isInObject)
        {
            points.Add(new SamPoint(x, y));
            inObject.Add(isInObject);
            return this;
        }

        /// <summary>Takes the point added last away; false when there is none.</summary>
        public bool RemoveLast()
        {
            if (points.Count == 0) return false;
            points.RemoveAt(points.Count - 1);
            inObject.RemoveAt(inObject.Count - 1);
            return true;
        }

        internal unsafe void Write(Borrowed memory, sam_mm_prompt* prompt)
        {
            Status.Check(NativeMethods.sam_mm_prompt_init(prompt, (uint)sizeof(sam_mm_prompt)), null);
            var coordinates = new float[2 * points.Count];
            var labels = new int[points.Count];
            for (int i = 0; i < points.Count; i++)
            {
                coordinates[2 * i] = points[i].X;
                coordinates[2 * i + 1] = points[i].Y;
                labels[i] = inObject[i] ? 1 : 0;
            }
            prompt->num_points = (uint)points.Count;
            prompt->points = (float*)memory.Pin(coordinates);
            prompt->labels = (int*)memory.Pin(labels);
            if (Box != null)
            {
                SamBox box = Box.Value;
                prompt->bounding_box = (float*)memory.Pin(new[] { box.X0, box.Y0, box.X1, box.Y1 });
            }
            if (MaskInput != null)
            {
                if (MaskInput.Length == 0) throw new ArgumentException("holds no values", nameof(MaskInput));
                prompt->mask_input = (float*)memory.Pin(MaskInput);
                prompt->mask_input_len = (ulong)MaskInput.Length;
            }
        }
    }

    /// <summary>What a prediction is asked for: objects by prompts, objects by boxes alone, or both.</summary>
    public sealed class SamRequest
    {
        /// <summary>Makes a request for objects, each with its prompt.</summary>
        public SamRequest(params SamPrompt[] prompts)
        {
            Prompts.AddRange(prompts);
        }

        /// <summary>
        /// True (default): several masks per object, for prompts that leave open what is meant, such as a single click.
        /// </summary>
        public bool Multimask { get; set; } = true;

        /// <summary>Each asks for one object.</summary>
        public List<SamPrompt> Prompts { get; } = new List<SamPrompt>();

        /// <summary>Each asks for one object, numbered after those of the prompts.</summary>
        public List<SamBox> Boxes { get; } = new List<SamBox>();

        internal unsafe sam_mm_predict_request ToNative(Borrowed memory)
        {
            sam_mm_predict_request request;
            Status.Check(NativeMethods.sam_mm_predict_request_init(&request, (uint)sizeof(sam_mm_predict_request)), null);
            request.multimask = Multimask ? 1u : 0u;
            if (Prompts.Count > 0)
            {
                var prompts = (sam_mm_prompt*)memory.Allocate(checked(Prompts.Count * sizeof(sam_mm_prompt)));
                for (int i = 0; i < Prompts.Count; i++)
                {
                    if (Prompts[i] == null) throw new ArgumentException("prompt " + i + " is null", nameof(Prompts));
                    Prompts[i].Write(memory, &prompts[i]);
                }
                request.prompts = prompts;
                request.num_prompts = (uint)Prompts.Count;
            }
            if (Boxes.Count > 0)
            {
                var values = new float[4 * Boxes.Count];
                for (int i = 0; i < Boxes.Count; i++)
                {
                    values[4 * i] = Boxes[i].X0;
                    values[4 * i + 1] = Boxes[i].Y0;
                    values[4 * i + 2] = Boxes[i].X1;
                    values[4 * i + 3] = Boxes[i].Y1;
                }
                request.boxes = (float*)memory.Pin(values);
                request.num_boxes = (uint)Boxes.Count;
            }
            return request;
        }
    }
}
