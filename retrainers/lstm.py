"""``retrain_lstm``: train the lstm model, judge it beside the active one, publish it if it is no worse."""

from retrainers.program import program

main = program("lstm")

if __name__ == "__main__":
    main()
