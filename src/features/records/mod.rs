//! Records: what is in the collections.
