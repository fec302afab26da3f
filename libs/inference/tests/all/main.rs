//! The gate and the models behind it, on the model that ships and on what can go wrong with it.

mod folder;
mod gate;
mod manifest;
mod rows;
mod shipped;
mod store;
mod windowed;
