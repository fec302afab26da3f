//! The allocator of every process. Stages make and drop many small values a record; glibc's malloc took a third of the
//! pipeline's time for that (`integration-tests/benches/README.md`).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
