"""Champion against challengers: who may enter, which stage follows, what the counts prove."""
