"""What routers say: RIS Live frames, MRT files, the spool between them and the windows, replay and simulation."""
