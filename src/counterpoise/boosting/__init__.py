"""What the objectives of LightGBM, XGBoost and CatBoost share; `objective` holds the class, `newton` the slopes."""
