//! A thread that does something with the file at intervals, until it is dropped.

use super::store::{Store, lock};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) struct Periodic {
    name: &'static str,
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Periodic {
    pub(super) fn start(
        name: &'static str,
        store: &Arc<Store>,
        every: Duration,
        work: impl Fn(&Store) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (stopped, store) = (Arc::clone(&stop), Arc::downgrade(store));
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&store, &stopped, every, work))?;
        Ok(Self { name, stop, thread: Some(thread) })
    }
}

fn run(store: &Weak<Store>, stop: &(Mutex<bool>, Condvar), every: Duration, work: impl Fn(&Store)) {
    loop {
        let waiting = stop.1.wait_timeout_while(lock(&stop.0), every, |stopped| !*stopped);
        if waiting.is_ok_and(|(stopped, _)| *stopped) {
            return;
        }
        let Some(store) = store.upgrade() else { return };
        work(&store);
    }
}

impl Drop for Periodic {
    fn drop(&mut self) {
        *lock(&self.stop.0) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(thread = self.name, "a thread of the embedded log had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::testing::open;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn it_works_again_and_again_until_it_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        let (worked, told) = sync_channel(0);
        let work = move |_: &Store| {
            let _ = worked.send(());
        };
        let periodic = Periodic::start("test", &bus.store, Duration::from_millis(1), work).expect("it starts");
        for _ in 0..3 {
            told.recv().expect("it works");
        }
        drop(told);
        drop(periodic);
        assert_eq!(Arc::strong_count(&bus.store), 1, "the thread has ended");
    }
}
