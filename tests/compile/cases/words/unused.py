# nobody imports this module, and it is shipped to no one
