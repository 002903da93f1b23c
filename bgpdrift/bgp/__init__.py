"""BGP data from outside: RIS Live client, MRT files, spool, replay server."""
