-- Does not call listen.
return 5
