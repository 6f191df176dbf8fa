"""LPIs: which are pending at a Redistributor, and the tables in guest RAM that configure them."""
