"""Why a prediction is as it is, in sentences for people who are no engineers."""
