//! The scenario harness: drives pod churn and faults through the real plugin against the emulators, in virtual time.
