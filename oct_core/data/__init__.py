"""From a folder of scans to a manifest and a pack: sources, patient-level split, audit, packing."""
