"""``retrain_heuristic``: train the heuristic model, judge it beside the active one, publish it if it is no worse."""

from retrainers.program import program

main = program("heuristic")

if __name__ == "__main__":
    main()
