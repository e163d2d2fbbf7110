"""What `crar_model` gives to notebooks and scripts, the same as the commands; nothing here loads PyTorch before a function is called."""
