//! ONE RUN, from checkout to the proof of removal.
