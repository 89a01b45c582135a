"""Laws of whole learning-rate schedules: fitted, judged, forecast and planned with."""
