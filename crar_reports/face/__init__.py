"""What `crar_reports` gives to notebooks and scripts, the same as the commands; nothing here loads PyTorch before a function is called."""
