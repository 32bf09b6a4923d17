"""How near synthetic CTs are to reference CTs: metrics, statistics, tables and figures (seed, sections 3.2 and 4)."""
