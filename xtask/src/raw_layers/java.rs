//! The raw layer of the Java binding, for JNA. It is made from that of C#, which has one declaration a line.

use anyhow::{Context, Result, bail};

use super::csharp;

pub const RAW: &str = "bindings/java/src/main/java/sammm/internal/NativeMethods.java";

const HEAD: &str = "\
// Generated from src/capi: `cargo xtask bindings java`. Changes belong there. What the functions, structs and constants
// mean is documented in include/sam_mm.h.
package sammm.internal;

import com.sun.jna.Callback;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.ptr.IntByReference;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;

/** The C API, as it is. */
@SuppressWarnings({\"checkstyle:all\", \"unused\"})
public final class NativeMethods {
    static {
        Native.register(NativeMethods.class, LibraryLoader.load());
    }

    private NativeMethods() {}
";

/// Declarations of every function, struct and constant of `include/sam_mm.h` for Java.
pub fn raw() -> Result<String> {
    let csharp = csharp::raw()?;
    let mut java = Java {
        structs: structs(&csharp),
        constants: String::new(),
        callbacks: String::new(),
        functions: String::new(),
        types: String::new(),
        open: None,
    };
    for line in csharp.lines() {
        java.line(line.trim())
            .with_context(|| format!("a line of {} is of no known form: {line}", csharp::RAW))?;
    }
    let Java {
        constants,
        callbacks,
        functions,
        types,
        ..
    } = java;
    Ok(format!(
        "{HEAD}\n{constants}\n{callbacks}{functions}\n{types}}}\n"
    ))
}

/// The names of structs with fields; the others are handles.
fn structs(csharp: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut current = "";
    for line in csharp.lines().map(str::trim) {
        if let Some((_, name)) = line.split_once("partial struct ") {
            current = name;
        } else if line == "public uint struct_size;" {
            names.push(current.to_owned());
        }
    }
    names
}

struct Java {
    structs: Vec<String>,
    constants: String,
    callbacks: String,
    functions: String,
    types: String,
    /// The struct whose fields are being read, with what was seen of them.
    open: Option<OpenStruct>,
}

struct OpenStruct {
    name: String,
    order: Vec<String>,
    fields: String,
}

impl Java {
    fn line(&mut self, line: &str) -> Result<()> {
        if let Some(rest) = line.strip_prefix("internal const ") {
            self.constant(rest)
        } else if let Some(rest) = line.strip_prefix("internal static extern ") {
            let (result, name, parameters) = signature(rest)?;
            let text = format!(
                "    public static native {} {name}({});\n\n",
                self.of_value(result)?,
                self.parameters(parameters)?
            );
            self.functions.push_str(&text);
            Ok(())
        } else if let Some(rest) = line.strip_prefix("internal delegate ") {
            let (result, name, parameters) = signature(rest)?;
            let text = format!(
                "    /** A callback. */\n    public interface {} extends Callback {{\n        {} invoke({});\n    }}\n\n",
                name.trim_end_matches("_delegate"),
                self.of_value(result)?,
                self.parameters(parameters)?
            );
            self.callbacks.push_str(&text);
            Ok(())
        } else if let Some((_, name)) = line.split_once("partial struct ") {
            self.open = self
                .structs
                .iter()
                .any(|known| known == name)
                .then(|| OpenStruct {
                    name: name.to_owned(),
                    order: Vec::new(),
                    fields: String::new(),
                });
            Ok(())
        } else if line == "}" {
            self.close();
            Ok(())
        } else if self.open.is_some() && line.starts_with("public ") {
            self.field(line)
        } else {
            Ok(())
        }
    }

    /// `uint NAME = 1;`
    fn constant(&mut self, declared: &str) -> Result<()> {
        let (kind, rest) = declared.split_once(' ').context("no name")?;
        let java = self.of_value(kind)?;
        self.constants
            .push_str(&format!("    public static final {java} {rest}\n"));
        Ok(())
    }

    /// `public uint name;` or `public fixed byte name[128];`
    fn field(&mut self, line: &str) -> Result<()> {
        let declared = line
            .trim_start_matches("public ")
            .trim_end_matches(';')
            .trim();
        let (fixed, declared) = match declared.strip_prefix("fixed ") {
            Some(rest) => (true, rest),
            None => (false, declared),
        };
        let (kind, name) = declared.split_once(' ').context("no name")?;
        let name = name.trim_start_matches('@');
        let (name, text) = if fixed {
            let (name, length) = name.split_once('[').context("no length")?;
            let kind = self.of_value(kind)?;
            let text = format!("public {kind}[] {name} = new {kind}[{length};");
            (name, text)
        } else if kind.ends_with('*') {
            (name, format!("public Pointer {name};"))
        } else {
            (name, format!("public {} {name};", self.of_value(kind)?))
        };
        let open = self.open.as_mut().context("no struct is open")?;
        open.order.push(format!("\"{name}\""));
        open.fields.push_str(&format!("        {text}\n"));
        Ok(())
    }

    fn close(&mut self) {
        let Some(OpenStruct {
            name,
            order,
            fields,
        }) = self.open.take()
        else {
            return;
        };
        let order = order.join(",\n        ");
        self.types.push_str(&format!(
            "    /** A struct. */\n    @Structure.FieldOrder({{\n        {order}\n    }})\n    \
             public static class {name} extends Structure {{\n{fields}\n        \
             public {name}() {{\n            struct_size = size();\n        }}\n\n        \
             public {name}(Pointer place) {{\n            super(place);\n            read();\n        }}\n    }}\n\n"
        ));
    }

    fn parameters(&self, parameters: &str) -> Result<String> {
        let mut java = Vec::new();
        for parameter in parameters.split(", ").filter(|p| !p.is_empty()) {
            let (kind, name) = parameter.split_once(' ').context("no name")?;
            let name = name.trim_start_matches('@');
            java.push(format!("{} {name}", self.of_value(kind)?));
        }
        Ok(java.join(", "))
    }

    /// The type of a parameter, a result or a field.
    fn of_value(&self, kind: &str) -> Result<String> {
        Ok(match kind {
            "void" => "void",
            "byte" => "byte",
            "uint" | "int" => "int",
            "ulong" | "long" => "long",
            "float" => "float",
            "double" => "double",
            // Single values that a function writes; where several are meant, callers have memory of their own.
            "uint*" | "int*" => "IntByReference",
            "ulong*" => "LongByReference",
            "float*" | "byte*" | "void*" => "Pointer",
            _ if kind.ends_with("**") => "PointerByReference",
            _ if kind.ends_with("_delegate") => kind.trim_end_matches("_delegate"),
            _ => match kind.strip_suffix('*') {
                Some(name) if self.structs.iter().any(|known| known == name) => name,
                Some(_) => "Pointer",
                None => bail!("the type {kind} has no counterpart"),
            },
        }
        .to_owned())
    }
}

/// `int name(uint* a, float b);` as result, name and parameters.
fn signature(declared: &str) -> Result<(&str, &str, &str)> {
    let (result, rest) = declared.split_once(' ').context("no name")?;
    let (name, rest) = rest.split_once('(').context("no parameters")?;
    let parameters = rest
        .strip_suffix(");")
        .context("the parameters do not end")?;
    Ok((result, name, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_raw_java_layer_is_that_of_the_sources() {
        super::super::assert_current(RAW, &raw().unwrap(), |symbol| format!(" {symbol}("));
    }
}
