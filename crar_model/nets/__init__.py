"""Networks as pure functions of parameters, and the compiled code behind them."""
