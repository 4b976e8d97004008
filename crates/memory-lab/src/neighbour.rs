//! Another process that takes memory of the GPU: this program, started once more.

use std::env;
use std::ffi::{c_int, c_void};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use libloading::Library;

const HOLDING: &str = "holding";

/// A process that holds bytes of the first visible GPU until this is dropped.
pub struct Neighbour(Child);

impl Neighbour {
    /// Starts it, and waits until it holds them.
    pub fn holding(bytes: u64) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(["neighbour", "--bytes", &bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut line)?;
        if line.trim() != HOLDING {
            child.wait()?;
            bail!("the neighbour could not take {bytes} bytes");
        }
        Ok(Self(child))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // The end of its input is its sign to go.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The neighbour's side: takes the bytes, says so, and holds them until its input ends.
pub fn hold(bytes: u64) -> Result<()> {
    take(usize::try_from(bytes)?)?;
    println!("{HOLDING}");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Takes bytes of the first visible GPU through the driver; they are given back when the process ends.
fn take(bytes: usize) -> Result<()> {
    type Init = unsafe extern "C" fn(u32) -> c_int;
    type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type Retain = unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int;
    type SetCurrent = unsafe extern "C" fn(*mut c_void) -> c_int;
    type Allocate = unsafe extern "C" fn(*mut u64, usize) -> c_int;

    let name = if cfg!(windows) {
        "nvcuda.dll"
    } else {
        "libcuda.so.1"
    };
    let (mut device, mut context, mut address) = (0, std::ptr::null_mut(), 0);
    // SAFETY: NVIDIA's driver library; its functions have these types, and write through valid places.
    unsafe {
        let driver = Library::new(name).with_context(|| format!("{name} cannot be loaded"))?;
        let steps = [
            ("cuInit", driver.get::<Init>(c"cuInit")?(0)),
            (
                "cuDeviceGet",
                driver.get::<Get>(c"cuDeviceGet")?(&raw mut device, 0),
            ),
            (
                "cuDevicePrimaryCtxRetain",
                driver.get::<Retain>(c"cuDevicePrimaryCtxRetain")?(&raw mut context, device),
            ),
            (
                "cuCtxSetCurrent",
                driver.get::<SetCurrent>(c"cuCtxSetCurrent")?(context),
            ),
            (
                "cuMemAlloc",
                driver.get::<Allocate>(c"cuMemAlloc_v2")?(&raw mut address, bytes),
            ),
        ];
        // For as long as the process lives.
        std::mem::forget(driver);
        for (step, status) in steps {
            if status != 0 {
                bail!("{step} returned {status}");
            }
        }
    }
    Ok(())
}
