//! Stops panics at the border: unwinding into C would be undefined behaviour, and a library prints nothing by itself.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<u32> = const { Cell::new(0) };
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic in it becomes an error text that says what and where.
///
/// On the first call a panic hook is put before the current one. It keeps quiet about panics that a guard on the same
/// thread will catch, and hands all others on.
pub fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    GUARDED.with(|depth| depth.set(depth.get() + 1));
    let outcome = catch_unwind(AssertUnwindSafe(body));
    GUARDED.with(|depth| depth.set(depth.get() - 1));
    outcome.map_err(|payload| {
        let text = LAST_PANIC
            .with(RefCell::take)
            .unwrap_or_else(|| payload_text(payload.as_ref()).to_owned());
        drop_quietly(payload);
        text
    })
}

/// A panic payload may have a destructor that panics; it must not get past the border either.
fn drop_quietly(payload: Box<dyn std::any::Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

fn install_hook() {
    static INSTALL: Once = Once::new();
    // The hook cannot be changed while this thread unwinds (a guard inside a destructor); a later call does it.
    if !std::thread::panicking() {
        INSTALL.call_once(|| {
            let previous = take_hook();
            set_hook(Box::new(move |info| {
                if GUARDED.try_with(|depth| depth.get() > 0).unwrap_or(false) {
                    note(info);
                } else {
                    previous(info);
                }
            }));
        });
    }
}

fn note(info: &PanicHookInfo<'_>) {
    let text = payload_text(info.payload());
    let text = match info.location() {
        Some(location) => format!("panic at {}:{}: {text}", location.file(), location.line()),
        None => format!("panic: {text}"),
    };
    let _ = LAST_PANIC.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = Some(text);
        }
    });
}

fn payload_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_text_with_its_place() {
        let text = catch::<()>(|| panic!("lost count at {}", 7)).unwrap_err();
        assert!(text.contains("lost count at 7"), "{text}");
        assert!(text.contains("guard.rs:"), "{text}");
    }

    #[test]
    fn a_panic_of_one_call_does_not_stick_to_the_next() {
        let _ = catch(|| panic!("first"));
        assert_eq!(catch(|| 5), Ok(5));
        assert!(
            catch::<()>(|| panic!("second"))
                .unwrap_err()
                .contains("second")
        );
    }

    #[test]
    fn a_payload_whose_destructor_panics_is_contained() {
        struct Spiteful;
        impl Drop for Spiteful {
            fn drop(&mut self) {
                panic!("once more");
            }
        }
        assert!(catch::<()>(|| std::panic::panic_any(Spiteful)).is_err());
    }
}
