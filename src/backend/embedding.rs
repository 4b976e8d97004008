//! What the image encoder made of one image.

use std::ffi::CString;
use std::ptr;
use std::sync::Arc;

use sam_mm_backend_abi::abi;
use sam_mm_backend_abi::exclusive::Exclusive;
use sam_mm_backend_abi::layout;

use super::call::{call, defect};
use super::error::BackendError;
use super::loader::required;
use super::model::Loaded;

/// What the image encoder made of one image. Freed when dropped, from any thread and at any time.
pub struct Embedding {
    pub(super) model: Arc<Loaded>,
    pub(super) raw: *mut abi::sam_mm_backend_embedding,
    bytes: u64,
    /// Held while a decode reads the embedding: the ABI rules out exporting it meanwhile.
    pub(super) turn: Exclusive<()>,
}

// SAFETY: the ABI makes every function safe against any thread; the pointer is only passed to them.
unsafe impl Send for Embedding {}
// SAFETY: as above; what must not happen at once takes turns.
unsafe impl Sync for Embedding {}

impl Embedding {
    /// # Safety
    /// `raw` is a live embedding of `model` that nobody else knows.
    pub(super) unsafe fn adopt(
        model: Arc<Loaded>,
        raw: *mut abi::sam_mm_backend_embedding,
    ) -> Self {
        let embedding_bytes = required(model.plugin().table().embedding_bytes);
        // SAFETY: the plugin's function with a live embedding.
        let bytes = unsafe { embedding_bytes(raw) };
        Self {
            model,
            raw,
            bytes,
            turn: Exclusive::new(()),
        }
    }

    /// Bytes of device memory it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The embedding as bytes that [`Model::import`](super::Model::import) takes back, bit for bit, in this or a
    /// later process.
    ///
    /// # Errors
    /// What the plugin says; `SAM_MM_ERR_OUT_OF_MEMORY` when the host has no room for the bytes;
    /// `SAM_MM_ERR_INTERNAL` from within a callback of a decode that uses this embedding.
    pub fn export(&self) -> Result<Vec<u8>, BackendError> {
        let _turn = self.turn.lock("embedding")?;
        let plugin = self.model.plugin();
        let embedding_export = required(plugin.table().embedding_export);
        let mut bytes = self.room_for_export()?;
        let len = bytes.len();
        let mut required_len = len as u64;
        // SAFETY: as above, with a buffer of the size it asked for.
        call(|error| unsafe {
            embedding_export(
                self.raw,
                bytes.as_mut_ptr(),
                len as u64,
                &raw mut required_len,
                error,
            )
        })?;
        if required_len != len as u64 {
            return Err(defect(
                plugin.name(),
                "changed its mind about the size of an exported embedding",
            ));
        }
        Ok(bytes)
    }

    /// The same in half precision: fewer bytes, and every value within 2⁻¹¹ of the original, relatively. `None` where the
    /// plugin cannot, or half precision cannot hold this embedding, or it has no more already.
    ///
    /// # Errors
    /// As [`export`](Self::export).
    pub fn export_half(&self) -> Result<Option<Vec<u8>>, BackendError> {
        let plugin = self.model.plugin();
        let id = CString::new(abi::SAM_MM_BACKEND_EMBEDDING_HALF).expect("a name without NUL");
        let Some(extension) = plugin.extension(&id) else {
            return Ok(None);
        };
        // SAFETY: under this name plugins give such a table, valid until the process ends.
        let table: abi::sam_mm_backend_embedding_half =
            unsafe { layout::read(extension.cast(), "extension")? };
        let Some(embedding_export_half) = table.embedding_export_half else {
            return Ok(None);
        };
        let _turn = self.turn.lock("embedding")?;
        let mut bytes = self.room_for_export()?;
        let capacity = bytes.len();
        let mut written = 0;
        // SAFETY: the plugin's function with a live embedding and a buffer of the size it asks for.
        let told = call(|error| unsafe {
            embedding_export_half(
                self.raw,
                bytes.as_mut_ptr(),
                capacity as u64,
                &raw mut written,
                error,
            )
        });
        match told {
            Err(error) if error.is_unsupported() => return Ok(None),
            told => told?,
        }
        if written == 0 || written > capacity as u64 {
            let what = format!("wrote {written} bytes of an embedding into {capacity}");
            return Err(defect(plugin.name(), &what));
        }
        bytes.truncate(written as usize);
        bytes.shrink_to_fit();
        Ok(Some(bytes))
    }

    /// As many bytes as an export takes. The turn is held.
    fn room_for_export(&self) -> Result<Vec<u8>, BackendError> {
        let plugin = self.model.plugin();
        let embedding_export = required(plugin.table().embedding_export);
        let mut required_len = 0;
        // SAFETY: the plugin's function with a live embedding; without a buffer it only tells the size.
        call(|error| unsafe {
            embedding_export(self.raw, ptr::null_mut(), 0, &raw mut required_len, error)
        })?;
        let len = usize::try_from(required_len)
            .map_err(|_| defect(plugin.name(), "exports more bytes than there are"))?;
        super::model::zeros::<u8>(len, "an exported embedding")
    }
}

impl Drop for Embedding {
    fn drop(&mut self) {
        let embedding_free = required(self.model.plugin().table().embedding_free);
        // SAFETY: the plugin's function with a live embedding that nobody uses afterwards.
        unsafe { embedding_free(self.raw) }
    }
}
