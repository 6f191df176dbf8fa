"""The Distributor: SPIs, its frame, and which PE a 1-of-N interrupt goes to."""
