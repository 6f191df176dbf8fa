"""What people look at: the history of a replay as a trace for Perfetto, as waveforms, and as a web page."""
