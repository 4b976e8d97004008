using System.IO;
using System.Text;

namespace Annotator
{
    /// <summary>A picture read from a binary PPM file.</summary>
    internal sealed class Picture
    {
        public int Width { get; private set; }

        public int Height { get; private set; }

        /// <summary>Three bytes a pixel, rows from the top.</summary>
        public byte[] Rgb { get; private set; }

        public static Picture Read(string file)
        {
            using (FileStream stream = File.OpenRead(file))
            {
                if (Word(stream) != "P6") throw new InvalidDataException(file + " is no binary PPM picture (P6)");
                var picture = new Picture { Width = Number(stream, file), Height = Number(stream, file) };
                if (Number(stream, file) != 255) throw new InvalidDataException(file + " has not 8 bits a colour");
                picture.Rgb = new byte[checked(3 * picture.Width * picture.Height)];
                for (int read = 0; read < picture.Rgb.Length;)
                {
                    int more = stream.Read(picture.Rgb, read, picture.Rgb.Length - read);
                    if (more == 0) throw new EndOfStreamException(file + " ends within its pixels");
                    read += more;
                }
                return picture;
            }
        }

        public static void WriteGray(string file, byte[] pixels, int width, int height)
        {
            using (FileStream stream = File.Create(file))
            {
                byte[] head = Encoding.ASCII.GetBytes("P5\n" + width + " " + height + "\n255\n");
                stream.Write(head, 0, head.Length);
                stream.Write(pixels, 0, pixels.Length);
            }
        }

        private static int Number(Stream stream, string file)
        {
            if (int.TryParse(Word(stream), out int number) && number > 0 && number <= 65535) return number;
            throw new InvalidDataException(file + " has a damaged head");
        }

        /// <summary>The next word of the head, without comments; passes the blank behind it.</summary>
        private static string Word(Stream stream)
        {
            var word = new StringBuilder();
            for (int next = stream.ReadByte(); next >= 0; next = stream.ReadByte())
            {
                if (next == '#')
                    while (next >= 0 && next != '\n') next = stream.ReadByte();
                if (next > ' ') word.Append((char)next);
                else if (word.Length > 0) break;
            }
            return word.ToString();
        }
    }
}
