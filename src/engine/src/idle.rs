//! Whether anybody needs this process: requests, running containers, and when the last one asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The count of reasons to stay.
#[derive(Debug)]
pub struct Idle {
    busy: AtomicUsize,
    last: Mutex<Instant>,
}

impl Default for Idle {
    fn default() -> Self {
        Self {
            busy: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        }
    }
}

/// A reason to stay, as long as it is held.
#[derive(Debug)]
pub struct Busy(Arc<Idle>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.touch();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Idle {
    /// Somebody asked.
    pub fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A request or a stream is under way.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }

    /// A container runs or is about to.
    pub fn container(self: &Arc<Self>) -> Busy {
        self.busy()
    }

    /// Returns once nothing has been under way for `patience`.
    pub async fn wait(&self, patience: Duration) {
        loop {
            let quiet = self
                .last
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .elapsed();
            if self.busy.load(Ordering::Acquire) == 0 && quiet >= patience {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200).max(patience.saturating_sub(quiet)))
                .await;
        }
    }
}
