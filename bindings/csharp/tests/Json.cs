using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace SamMm.Tests
{
    /// <summary>Reads JSON into dictionaries, lists, texts, numbers and truth values: what Mono has of its own is no part of it everywhere.</summary>
    internal sealed class Json
    {
        private readonly string text;
        private int at;

        private Json(string text)
        {
            this.text = text;
        }

        public static object Parse(string text)
        {
            var json = new Json(text);
            object value = json.Value();
            json.Blank();
            Check.Equal(text.Length, json.at, "end of the JSON");
            return value;
        }

        private object Value()
        {
            Blank();
            switch (text[at])
            {
                case '{':
                    return Object();
                case '[':
                    return Array();
                case '"':
                    return Text();
                case 't':
                    return Word("true", true);
                case 'f':
                    return Word("false", false);
                case 'n':
                    return Word("null", null);
                default:
                    int start = at;
                    while (at < text.Length && "+-.eE0123456789".IndexOf(text[at]) >= 0) at++;
                    return double.Parse(text.Substring(start, at - start), CultureInfo.InvariantCulture);
            }
        }

        private Dictionary<string, object> Object()
        {
            var members = new Dictionary<string, object>();
            at++;
            while (!Ends('}'))
            {
                Blank();
                string name = Text();
                Expect(':');
                members.Add(name, Value());
            }
            return members;
        }

        private List<object> Array()
        {
            var items = new List<object>();
            at++;
            while (!Ends(']')) items.Add(Value());
            return items;
        }

        /// <summary>Whether the end is next; passes it, or the comma before the next item.</summary>
        private bool Ends(char end)
        {
            Blank();
            if (text[at] == ',') at++;
            if (text[at] != end) return false;
            at++;
            return true;
        }

        private string Text()
        {
            Expect('"');
            var value = new StringBuilder();
            for (; text[at] != '"'; at++)
            {
                Check.That(text[at] != '\\', "escapes are not read here");
                value.Append(text[at]);
            }
            at++;
            return value.ToString();
        }

        private object Word(string word, object value)
        {
            Check.Equal(word, text.Substring(at, word.Length), "a word of JSON");
            at += word.Length;
            return value;
        }

        private void Expect(char wanted)
        {
            Blank();
            Check.Equal(wanted, text[at], "a character of JSON at " + at);
            at++;
        }

        private void Blank()
        {
            while (at < text.Length && char.IsWhiteSpace(text[at])) at++;
        }
    }
}
