"""Feature views and the engines that compute them."""
